// Exports a form's contacts with Node's own fetch and the header that the package `wsse` makes, and prints the addresses.
// The token is made once, as the package's manual shows it, so nonce and Created repeat with every call.
import { UsernameToken } from "wsse";

const { EMARSYS_BASE_URL: baseUrl, EMARSYS_USERNAME: username, EMARSYS_SECRET: password } = process.env;
const PAGE = 100;
const token = new UsernameToken({ username, password, sha1encoding: "hex" });

async function call(path, body) {
  const answer = await fetch(`${baseUrl}/${path}`, {
    method: body ? "POST" : "GET",
    body,
    headers: { "X-WSSE": token.getWSSEHeader() },
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

// A string as the body: fetch then declares it as text/plain.
const { data } = await (await call("contact/getchanges/", process.argv[2])).json();
while ((await (await call(`export/${data.id}/`)).json()).data.status !== "done") {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
for (let offset = 0; ; offset += PAGE) {
  const page = await (await call(`export/${data.id}/data/?offset=${offset}&limit=${PAGE}`)).text();
  const [header, ...rows] = page.trimEnd().split("\n");
  if (rows.length === 0) break;
  const column = header.split(",").indexOf("E-Mail");
  for (const row of rows) console.log(row.split(",")[column]);
}
