// Answers every request below /functions/hello/.
import { flags } from "flagbase";

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const who = url.searchParams.get("name") ?? "world";
    // Decided for whoever is calling, by the flag `loud-greeting`; false when there is no such flag.
    const greeting = flags.boolean("loud-greeting", false) ? "HELLO" : "Hello";
    console.log("greeting", who);
    return new Response(`${greeting}, ${who}!\n`);
  },
};
