// Makes the container `mesh` at a service that speaks the API of Azure's blobs: node azure_container.mjs http://127.0.0.1:PORT
import { createHmac } from "node:crypto";

// The account and the key that every emulator has.
const account = "devstoreaccount1";
const key = Buffer.from("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==", "base64");

const headers = { "x-ms-date": new Date().toUTCString(), "x-ms-version": "2021-08-06" };
const told = Object.entries(headers).map(([name, value]) => `${name}:${value}`);
// Eleven headers that are not sent, then those that are.
const signed = ["PUT", ...Array(11).fill(""), ...told, `/${account}/${account}/mesh`, "restype:container"].join("\n");
headers.authorization = `SharedKey ${account}:${createHmac("sha256", key).update(signed).digest("base64")}`;
const answer = await fetch(`${process.argv[2]}/${account}/mesh?restype=container`, { method: "PUT", headers });
if (answer.status !== 201) {
  console.error(`${answer.status} ${await answer.text()}`);
  process.exit(1);
}
