// Acts on a page in Chromium as an operator would: node act.js CHROMIUM URL STEP...
// A step is "press NAME" (a button), "open NAME" (what is folded in), "see TEXT" or "go URL". Prints "done"
// at the end. Script errors, and what the page's policy forbids, end it.
import { chromium } from 'playwright-core';
import { args, signIn } from './session.js';

const [executablePath, url, ...steps] = args;
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  const context = await browser.newContext();
  await signIn(context, url);
  const tab = await context.newPage();
  tab.setDefaultTimeout(60_000);
  const problems = [];
  tab.on('console', (message) => { if (message.type() === 'error') problems.push(message.text()); });
  tab.on('pageerror', (error) => problems.push(String(error)));
  await tab.goto(url);
  for (const step of steps) {
    const [verb] = step.split(' ', 1);
    const name = step.slice(verb.length + 1);
    if (verb === 'press') await tab.getByRole('button', { name, exact: true }).first().click();
    else if (verb === 'open') await tab.locator('summary').and(tab.getByLabel(name, { exact: true })).click();
    else if (verb === 'see') await tab.getByText(name).first().waitFor();
    else if (verb === 'go') await tab.goto(new URL(name, url).href);
    else throw new Error(`what is ${step}?`);
  }
  if (problems.length) throw new Error(problems.join('\n'));
  console.log('done');
} finally {
  await browser.close();
}
