// What a test asks for comes as JSON; the answer is one line of JSON.
import { text } from "node:stream/consumers";

export const request = JSON.parse(await text(process.stdin));

export const reply = (value) => console.log(JSON.stringify(value));
