/** Why an edit of the configuration is not done. */

export class EditError extends Error {
  override readonly name = "EditError";
  readonly reason: "notFound" | "conflict" | "invalid" | "forbidden";

  /** @param message what is in the way, and what to do. */
  constructor(reason: EditError["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}
