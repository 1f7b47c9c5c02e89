import { cache, input, logInfo, orama_alloc, output, wallet } from "./orama";

// The host needs it to hand something over.
export { orama_alloc };

// Input and output are JSON texts: AssemblyScript brings no parser for them.
export function _start(): void {
  const name = textField(input(), "name");
  logInfo("called by " + wallet());
  const visits = cache.add("visits").toString();
  output('{"result":"Hello, ' + (name === null ? "World" : name) + '!","visits":' + visits + "}");
}

/** The text of a field of a flat JSON object, escapes left as they are. */
function textField(json: string, field: string): string | null {
  let at = json.indexOf('"' + field + '"');
  if (at < 0) return null;
  at = skipSpace(json, at + field.length + 2);
  if (json.charAt(at) != ":") return null;
  at = skipSpace(json, at + 1);
  if (json.charAt(at) != '"') return null;
  const start = at + 1;
  let end = start;
  while (end < json.length && json.charAt(end) != '"') end += json.charAt(end) == "\\" ? 2 : 1;
  return end < json.length ? json.substring(start, end) : null;
}

function skipSpace(text: string, from: i32): i32 {
  let at = from;
  while (at < text.length && " \t\r\n".includes(text.charAt(at))) at++;
  return at;
}
