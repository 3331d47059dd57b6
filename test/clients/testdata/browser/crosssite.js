// Has Chromium, signed in to the console, open pages of other sites that act on the relay: forms
// that are sent, requests of scripts, and frames. Prints as JSON what became of each:
// node crosssite.js --cookie=NAME=VALUE CHROMIUM BASE PATH SITE...
// Each SITE serves an empty page. PATH is what a form is sent to.
import { chromium } from 'playwright-core';
import { args, signIn } from './session.js';

const [executablePath, base, path, ...sites] = args;
const results = [];
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  for (const site of sites) {
    const context = await browser.newContext();
    await signIn(context, base);
    const open = async () => {
      const tab = await context.newPage();
      tab.setDefaultTimeout(120_000);
      await tab.goto(site);
      return tab;
    };
    let tab = await open();
    const [answer] = await Promise.all([
      tab.waitForResponse((r) => r.url() === base + path),
      tab.evaluate((to) => {
        const form = document.createElement('form');
        form.method = 'post';
        form.action = to;
        document.body.append(form);
        form.submit();
      }, base + path),
    ]);
    const form = answer.status();
    tab = await open();
    const read = await tab.evaluate(async (to) => {
      try {
        return (await (await fetch(to, { credentials: 'include' })).text()).length;
      } catch {
        return 'refused';
      }
    }, base + '/console/');
    // A frame that the browser refuses to show has a document of its own, which nothing reads.
    await tab.evaluate((to) => new Promise((resolve) => {
      const frame = document.createElement('iframe');
      frame.onload = resolve;
      frame.src = to;
      document.body.append(frame);
    }), base + '/console/');
    const framed = await tab.frames()[1].evaluate(() => document.querySelectorAll('main').length);
    const own = await context.newPage();
    const page = await own.goto(base + '/console/');
    results.push({ site, form, read, framed, stillSignedIn: page.status() === 200 && !own.url().includes('sign-in') });
    await context.close();
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(results));
