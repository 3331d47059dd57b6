// Connects a mailbox in Chromium as its owner would, after a wrong address and a sign-in that
// the owner declines, and prints what the pages give: node connect.js CHROMIUM PAGE MAILBOX
// Problems are script errors, what a page's policy forbids, and what axe finds, in both themes.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const [executablePath, page, mailbox] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const problems = [];
try {
  const tab = await browser.newPage({ viewport: { width: 390, height: 850 } });
  tab.setDefaultTimeout(60_000);
  // What the page's policy forbids, and every script error, would show here. A refusal has the
  // status 400, of which Chromium tells too.
  tab.on('console', (message) => { if (message.type() === 'error' && !message.text().includes('status of 400')) problems.push(message.text()); });
  tab.on('pageerror', (error) => problems.push(String(error)));

  const look = async (name) => {
    for (const colorScheme of ['light', 'dark']) {
      await tab.emulateMedia({ colorScheme });
      const wider = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wider > 0) problems.push(`${name} is ${wider} px wider than the screen`);
      await tab.evaluate(axe); // not subject to the page's policy
      const found = await tab.evaluate(() => axe.run({ resultTypes: ['violations'] }));
      for (const v of found.violations) problems.push(`${name}, ${colorScheme}: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 200)).join(' | ')}`);
      // Screenshots for people, where SHOTS names a folder.
      if (process.env.SHOTS) await tab.screenshot({ path: `${process.env.SHOTS}/connect-${name}-${colorScheme}.png`, fullPage: true });
    }
  };
  const shown = async (id) => (await tab.locator('#' + id).textContent()).trim();
  const begin = async (address) => {
    await tab.getByRole('textbox', { name: 'Mailbox' }).fill(address);
    await tab.getByRole('button', { name: 'Sign in with Microsoft' }).click();
  };

  await tab.goto(page);
  await look('form');
  await tab.getByRole('checkbox', { name: 'user name and password' }).check();
  await begin(mailbox.replace(/@.*/, '@elsewhere.test'));
  const unserved = await shown('error');
  await look('unserved');

  await begin(mailbox);
  await look('sign-in');
  await tab.getByRole('button', { name: 'Decline' }).click();
  const declined = await shown('error');
  await tab.getByText('For your help desk').click();
  const code = await shown('code');
  await look('declined');

  await begin(mailbox);
  await tab.getByLabel('Account').fill(mailbox);
  await tab.getByRole('button', { name: 'Accept' }).click();

  await tab.getByRole('heading', { name: 'Connected' }).waitFor();
  await look('connected');
  console.log(JSON.stringify({ unserved, declined, code, user: await shown('user'), password: await shown('password'), problems, url: tab.url() }));
} finally {
  await browser.close();
}
