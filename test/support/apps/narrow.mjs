// An app that says how many requests it has had at once, at most: `/` takes some milliseconds.
import { createServer } from 'node:http';

let now = 0;
let most = 0;

createServer((request, response) => {
  most = Math.max(most, (now += 1));
  const { searchParams } = new URL(request.url ?? '/', 'http://narrow');
  setTimeout(
    () => {
      now -= 1;
      response.end(JSON.stringify({ most }));
    },
    Number(searchParams.get('ms') ?? 2),
  );
}).listen(Number(process.env.PORT), process.env.HOST ?? '0.0.0.0');
