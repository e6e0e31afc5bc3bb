// Answers every request below /functions/hello/. Types are for you and your editor; they are taken off at deploy.
import { flags } from "flagbase";

interface Greeting {
  greeting: string;
  who: string;
}

function greet(who: string): Greeting {
  // Decided for whoever is calling, by the flag `loud-greeting`; false when there is no such flag.
  const greeting = flags.boolean("loud-greeting", false) ? "HELLO" : "Hello";
  return { greeting, who };
}

export default {
  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const answer: Greeting = greet(url.searchParams.get("name") ?? "world");
    console.log("greeting", answer.who);
    return Response.json(answer);
  },
};
