/** Why an address cannot be listened at, and what to do. */

/** @param error what listen(2) says, as Node's errors do. */
export function listenFault({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case "EADDRINUSE":
      return "EADDRINUSE: another program listens there; ss -ltnp shows which";
    case "EADDRNOTAVAIL":
      return "EADDRNOTAVAIL: no interface of this machine has that address";
    case "EACCES":
      return "EACCES: ports below 1024 are root's";
    default:
      return message;
  }
}
