/** iscsi://[user[%secret]@]host[:port]/target-name/lun, the form that libiscsi and qemu take, too. */

export interface TargetUrl {
  /** Numeric, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly targetName: string;
  readonly lun: number;
  readonly user?: string;
  readonly secret?: string;
}

const PORT_DEFAULT = 3260;
const PATTERN =
  /^iscsi:\/\/(?:([^%@/]+)(?:%([^@/]*))?@)?(?:\[([0-9a-fA-F:.%]+)\]|([^:/@]+))(?::(\d+))?\/([^/]+)\/(\d+)$/;

/** @throws Error naming what is wrong */
export function parseTargetUrl(text: string): TargetUrl {
  const match = PATTERN.exec(text);
  if (match === null) throw new Error(`not of the form iscsi://[user[%secret]@]host[:port]/target-name/lun: ${text}`);
  const [, user, secret, host6, host, port, targetName, lun] = match;
  return {
    host: host6 ?? (host === "localhost" ? "127.0.0.1" : host!),
    port: port === undefined ? PORT_DEFAULT : Number(port),
    targetName: decodeURIComponent(targetName!),
    lun: Number(lun),
    ...(user === undefined ? {} : { user }),
    ...(secret === undefined ? {} : { secret }),
  };
}
