// A reporter of node:test for test.mjs: what it counts and lists, one JSON object a line.

const nameOf = ({ name, file, line, column }) => `${name} (${file}:${line}:${column})`;

export default async function* testEvents(source) {
  // Reports come in the order of the file, parents before their children, so this is where the current one stands.
  const path = [];
  for await (const { type, data } of source) {
    switch (type) {
      case "test:start":
        path.length = data.nesting;
        path.push(data.name);
        break;
      case "test:pass":
      case "test:fail": {
        const event = {
          outcome: data.skip === undefined ? type.slice("test:".length) : "skip",
          isSuite: data.details.type === "suite",
          name: [...path.slice(0, data.nesting), data.name].join(" > "),
          reason: typeof data.skip === "string" ? data.skip : "",
        };
        yield `${JSON.stringify(event)}\n`;
        break;
      }
      // These two come in the order of execution: what was begun and not ended is what hangs.
      case "test:dequeue":
        yield `${JSON.stringify({ begun: nameOf(data) })}\n`;
        break;
      case "test:complete":
        yield `${JSON.stringify({ ended: nameOf(data) })}\n`;
        break;
    }
  }
}
