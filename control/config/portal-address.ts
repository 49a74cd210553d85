/** Addresses of portals as text (RFC 7143 section 13.8). */
import { isIPv4, isIPv6, SocketAddress } from "node:net";

/** IANA's port for iSCSI (RFC 7143 section 14). */
export const ISCSI_PORT = 3260;
const PORT_MAX = 65_535;
const HOST_NAME_LENGTH_MAX = 253;
/** A host name's label: letters, digits, inner hyphens, at most 63. */
const HOST_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Where something listens or is reached. Two addresses are the same exactly when both members are equal. */
export interface PortalAddress {
  /** IPv4 in dotted decimal, IPv6 in its canonical form without brackets (with `%zone` if given), or a lower-case host name. */
  readonly host: string;
  /** 1..65535. */
  readonly port: number;
}

export type PortalParse =
  | { readonly ok: true; readonly address: PortalAddress }
  | { readonly ok: false; readonly reason: string };

/** Reads `host`, `host:port`, `[ipv6]` or `[ipv6]:port`, the forms of RFC 7143 section 13.8. */
export function parsePortalAddress(text: string, defaultPort: number): PortalParse {
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text);
  if (parts === null) {
    return refusal(
      isIPv6(text) || isIPv6(text.replace(/:\d+$/, ""))
        ? `"${text}" is an IPv6 address without brackets: write it as [::1]:3260`
        : `"${text}" is not an address: write host:port, as 192.0.2.1:3260, [2001:db8::1]:3260 or host.example:3260`,
    );
  }
  const [, bracketed, bare, portText] = parts;
  const host = bracketed === undefined ? canonicalHost(bare ?? "") : canonicalIPv6(bracketed);
  if (host === null) {
    return refusal(
      bracketed === undefined
        ? `"${bare}" is neither an IPv4 address nor a host name`
        : `"${bracketed}" is not an IPv6 address: only these stand in brackets`,
    );
  }
  if (portText === undefined) return { ok: true, address: { host, port: defaultPort } };
  const port = /^[0-9]{1,5}$/.test(portText) ? Number(portText) : 0;
  if (port < 1 || port > PORT_MAX) return refusal(`"${portText}" is not a port: write 1 to ${PORT_MAX}`);
  return { ok: true, address: { host, port } };
}

/** Of a socket's address, as `formatPortalAddress` has written it. */
export function portalAddressOf(text: string): PortalAddress {
  const parsed = parsePortalAddress(text, ISCSI_PORT);
  // A socket that is gone has none.
  return parsed.ok ? parsed.address : { host: "0.0.0.0", port: 0 };
}

/** The form that `parsePortalAddress` reads, IPv6 in brackets; fit for TargetAddress and for URLs. */
export function formatPortalAddress({ host, port }: PortalAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether it stands for all addresses of its family. */
export function isWildcard({ host }: PortalAddress): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** Whether nobody but this machine reaches it. */
export function isLoopback({ host }: PortalAddress): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function canonicalHost(text: string): string | null {
  if (isIPv4(text)) return text;
  const name = text.toLowerCase();
  const labels = name.split(".");
  // A last label of digits can only be an IPv4 address that is written wrongly.
  if (/^[0-9]*$/.test(labels.at(-1) ?? "")) return null;
  return name.length <= HOST_NAME_LENGTH_MAX && labels.every((label) => HOST_LABEL.test(label)) ? name : null;
}

function canonicalIPv6(text: string): string | null {
  if (!isIPv6(text)) return null;
  const [address = "", zone] = text.split("%");
  const canonical = new SocketAddress({ address, family: "ipv6" }).address;
  return zone === undefined ? canonical : `${canonical}%${zone}`;
}

function refusal(reason: string): PortalParse {
  return { ok: false, reason };
}
