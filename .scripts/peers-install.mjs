// Installs the iSCSI clients and targets that the interop tests and bench:peers need, the tools of the file systems that the
// tests of storage make, shells, and what the page and the metrics are looked at with. (npm run peers:install)

import { spawnSync } from "node:child_process";
import { fail, run, say } from "./common.mjs";

const PACKAGES = [
  ...["libiscsi-bin", "qemu-utils", "qemu-block-extra", "tgt", "tshark", "istgt", "sg3-utils", "openssl"],
  // File systems for test/conformance/storage and test/conformance/faults.
  ...["e2fsprogs", "xfsprogs", "btrfs-progs"],
  // The page's browser, with a font, and what scrapes the metrics.
  ...["chromium", "fonts-dejavu-core", "prometheus"],
  // Completion is tried in the shells themselves.
  ...["zsh", "fish"],
  // For test/linux.
  ...(process.argv.includes("--linux")
    ? [
        ...["user-mode-linux", "open-iscsi", "multipath-tools", "fio", "iproute2", "kmod", "udev", "systemd"],
        ...["charon-systemd", "strongswan-swanctl", "libstrongswan-standard-plugins", "strongswan-pki", "iptables"],
      ]
    : []),
];

// Of tgt, istgt, prometheus and strongSwan only the programs are wanted, and on our own ports: Debian would start them now,
// where policy-rc.d does not forbid it (exit 101), and at each boot.
const INSTALL = `
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  trap 'exit 130' INT TERM
  printf '#!/bin/sh\\nexit 101\\n' > $policy
  chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o Acquire::Retries=3 update
apt-get -qq -y --no-install-recommends -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 install "$@"
for package; do
  case $package in
    tgt|istgt|prometheus) update-rc.d $package disable ;;
    charon-systemd) systemctl disable strongswan ;;
  esac
done
`;

function isInstalled(name) {
  const query = spawnSync("dpkg", ["--status", name], { encoding: "utf8" });
  if (query.error) fail(`peers:install needs Debian or the like; install by hand: ${PACKAGES.join(" ")}`);
  return /^Status: .* installed$/m.test(query.stdout);
}

const missing = PACKAGES.filter((name) => !isInstalled(name));
if (missing.length > 0) {
  const isRoot = process.geteuid() === 0;
  if (!isRoot && spawnSync("sudo", ["-n", "true"]).status !== 0) {
    fail(`peers:install needs root, or sudo without a password, to install ${missing.join(" ")}`);
  }
  say(`installing ${missing.join(" ")}`);
  const command = ["sh", "-c", INSTALL, "sh", ...missing];
  const [program, ...args] = isRoot ? command : ["sudo", "-n", ...command];
  const { exitCode, output } = await run(program, args, { quiet: true });
  if (exitCode !== 0) fail(`apt-get failed (${exitCode})\n${output}`);
  const absent = missing.filter((name) => !isInstalled(name));
  if (absent.length > 0) fail(`apt-get did not install ${absent.join(" ")}\n${output}`);
}
