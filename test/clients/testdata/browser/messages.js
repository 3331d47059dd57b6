// Does in Chromium what an operator does with messages, and prints each thing that works:
// node messages.js [--cookie=NAME=VALUE] CHROMIUM BASE
// The lane is paused, and there are three messages with "of the test" in their subjects. After
// "open" it waits for a fourth, with the subject "came later". Those with the subject
// "hostile" have texts that set window.ran if they are more than text.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { args, signIn } from './session.js';

const [executablePath, base] = args;
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });

function check(what, is) {
  if (!is) throw new Error(what);
  console.log(what);
}

try {
  const context = await browser.newContext({ acceptDownloads: true });
  await signIn(context, base);
  const tab = await context.newPage();
  tab.setDefaultTimeout(120_000);
  tab.on('pageerror', (error) => { throw error; });
  tab.on('console', (message) => { if (message.type() === 'error' && !/40[349]|410/.test(message.text())) throw new Error(message.text()); });
  const open = (path) => tab.goto(base + path, { waitUntil: 'networkidle' });
  const rows = () => tab.locator('tbody tr[id^="m-"]').count();
  const notice = () => tab.locator('main > .notice').first().textContent();

  await open('/console/messages');
  await tab.getByLabel('Queue ID, Message-ID').fill('OF THE TEST');
  await tab.getByRole('button', { name: 'Search' }).click();
  await tab.waitForURL(/q=OF/);
  check('searched', await rows() === 3);
  await open('/console/messages?q=came+later');
  check('open', await rows() === 0);
  await tab.waitForFunction(() => document.querySelectorAll('tbody tr[id^="m-"]').length === 1);
  check('live', true);

  await open('/console/messages?q=of+the+test');
  await tab.locator('input[name="id"]').first().check();
  await tab.getByRole('button', { name: 'Hold' }).click();
  check('held one', /1 message was held/.test(await notice()));
  await tab.getByLabel('all on this page').check();
  check('ticked all', await tab.locator('input[name="id"]:checked').count() === 3);
  await tab.getByRole('button', { name: 'Try now' }).click();
  check('tried', /3 messages were queued to be tried now/.test(await notice()));
  await tab.getByLabel('all that this search selects').check();
  await tab.getByRole('button', { name: 'Hold' }).click();
  check('asked before all', /Hold 3 messages\?/.test(await tab.locator('h1').textContent()));
  await tab.getByRole('button', { name: 'Hold 3 messages' }).click();
  check('held all', /3 messages were held/.test(await notice()) && /q=of/.test(tab.url()));
  await tab.locator('input[name="id"]').nth(1).check();
  await tab.getByRole('button', { name: 'Release' }).click();
  check('released', /1 message was released/.test(await notice()));
  await tab.getByLabel('all on this page').check();
  const [archive] = await Promise.all([tab.waitForEvent('download'), tab.getByRole('button', { name: 'Export' }).click()]);
  check('exported many', archive.suggestedFilename() === 'messages.zip' && readFileSync(await archive.path()).subarray(0, 2).toString() === 'PK');
  await open('/console/messages?q=of+the+test');
  await tab.locator('input[name="id"]').nth(1).check();
  await tab.getByRole('button', { name: 'Delete' }).click();
  await tab.getByRole('button', { name: 'Delete 1 message' }).click();
  check('deleted', /1 message was deleted/.test(await notice()));

  await tab.locator('tr:has(.badge:text-is("held")) a').first().click();
  await tab.getByRole('link', { name: 'Content', exact: true }).click();
  check('content', await tab.getByText('a.txt').count() > 0);
  await tab.getByRole('link', { name: 'Source', exact: true }).click();
  check('source', /Subject: .*of the test/.test(await tab.locator('pre').textContent()));
  const [file] = await Promise.all([tab.waitForEvent('download'), tab.getByRole('link', { name: 'Download' }).click()]);
  check('exported one', /of the test/.test(readFileSync(await file.path(), 'utf8')));
  await tab.getByRole('link', { name: 'Story', exact: true }).click();
  await tab.getByLabel('Recipients, one on each line').fill('bert@example.test\nclara@example.test');
  await tab.getByRole('button', { name: 'Send again' }).click();
  check('sent again', /sent again as this message/.test(await notice()) && await tab.getByText('clara@example.test').count() > 0);

  const hostile = [];
  await open('/console/messages?q=hostile');
  for (const a of await tab.locator('td[data-label="Subject"] a').all()) hostile.push(await a.getAttribute('href'));
  for (const path of hostile.flatMap((p) => [p, `${p}/content`, `${p}/source`])) {
    await open(path);
    if (await tab.evaluate(() => window.ran !== undefined || document.querySelector('main img, main iframe, main script, main svg') !== null)) throw new Error(`${path} runs what a message holds`);
  }
  check('inert', hostile.length > 3);
} finally {
  await browser.close();
}
