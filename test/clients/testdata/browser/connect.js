// Connects a mailbox in Chromium as its owner would, and prints what the page gives:
// node connect.js CHROMIUM PAGE MAILBOX
import { chromium } from 'playwright-core';

const [executablePath, page, mailbox] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const problems = [];
try {
  const tab = await browser.newPage();
  tab.setDefaultTimeout(60_000);
  // What the page's policy forbids, and every script error, would show here.
  tab.on('console', (message) => { if (message.type() === 'error') problems.push(message.text()); });
  tab.on('pageerror', (error) => problems.push(String(error)));

  await tab.goto(page);
  await tab.getByRole('textbox', { name: 'Mailbox' }).fill(mailbox);
  await tab.getByRole('checkbox', { name: 'user name and password' }).check();
  await tab.getByRole('button', { name: 'Sign in with Microsoft' }).click();

  await tab.getByLabel('Account').fill(mailbox);
  await tab.getByRole('button', { name: 'Accept' }).click();

  await tab.getByRole('heading', { name: 'Connected' }).waitFor();
  const shown = async (id) => (await tab.locator('#' + id).textContent()).trim();
  console.log(JSON.stringify({ user: await shown('user'), password: await shown('password'), problems, url: tab.url() }));
} finally {
  await browser.close();
}
