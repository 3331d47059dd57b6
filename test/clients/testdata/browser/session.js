// The arguments of a script, and a session of the console in them: --cookie=NAME=VALUE.
const cookie = process.argv.find((a) => a.startsWith('--cookie='))?.slice('--cookie='.length);

// The arguments without the session.
export const args = process.argv.slice(2).filter((a) => !a.startsWith('--cookie='));

// signIn gives a context of a browser the session, if there is one.
export async function signIn(context, url) {
  if (!cookie) return;
  const at = cookie.indexOf('=');
  await context.addCookies([{ name: cookie.slice(0, at), value: cookie.slice(at + 1), url: new URL('/', url).href }]);
}
