// Operates the console in Chromium as a person would, step by step, and prints as a JSON list what
// is wrong: node operate.js [--cookie=NAME=VALUE] [--shots=DIR] CHROMIUM BASE [VERB ARGUMENT...]...
// Each step is one argument: a JSON list of a verb and its arguments.
//
//	["open", PATH]            opens a page
//	["click", ROLE, NAME]     clicks the first element of that role and name
//	["within", SELECTOR, ROLE, NAME]  clicks within the first element of the selector
//	["fill", LABEL, TEXT]     fills a field
//	["see", TEXT]             waits until the page shows the text
//	["gone", TEXT]            waits until it does not
//	["absent", SELECTOR]      is wrong if the page has such an element
//	["shot", NAME]            checks the page with axe in both themes and on a phone, and keeps pictures of it
//
// Wrong are script errors, dialogs, what a page's policy forbids, pages wider than the screen, and
// what axe finds.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { args, signIn } from './session.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const shots = args.find((a) => a.startsWith('--shots='))?.slice('--shots='.length);
const [executablePath, base, ...steps] = args.filter((a) => !a.startsWith('--shots='));
const faults = [];
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  await signIn(context, base);
  const tab = await context.newPage();
  tab.setDefaultTimeout(60_000);
  let step;
  const fault = (text) => faults.push(`${step}: ${text}`);
  tab.on('console', (message) => { if (['error', 'warning'].includes(message.type())) fault(message.text()); });
  tab.on('pageerror', (error) => fault(String(error)));
  tab.on('dialog', (dialog) => { fault(`a dialog: ${dialog.message()}`); dialog.dismiss(); });

  const look = async (name) => {
    for (const colorScheme of ['light', 'dark']) {
      for (const width of [1280, 360]) {
        await tab.emulateMedia({ colorScheme });
        await tab.setViewportSize({ width, height: 800 });
        const at = `${colorScheme}, ${width} px`;
        const wider = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wider > 0) fault(`${at}: is ${wider} px wider than the screen`);
        await tab.evaluate(axe); // not subject to the page's policy
        const found = await tab.evaluate(() => axe.run({ resultTypes: ['violations'] }));
        for (const v of found.violations) fault(`${at}: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 200)).join(' | ')}`);
        if (shots) await tab.screenshot({ path: `${shots}/${name}-${colorScheme}-${width}.png`, fullPage: true });
      }
    }
    await tab.emulateMedia({ colorScheme: 'light' });
    await tab.setViewportSize({ width: 1280, height: 800 });
  };
  const verbs = {
    open: (path) => tab.goto(base + path),
    click: (role, name) => tab.getByRole(role, { name }).first().click(),
    within: (selector, role, name) => tab.locator(selector).first().getByRole(role, { name }).first().click(),
    fill: (label, text) => tab.getByLabel(label).fill(text),
    see: (text) => tab.locator('main').getByText(text).filter({ visible: true }).first().waitFor(),
    gone: (text) => tab.locator('main').getByText(text).filter({ visible: true }).first().waitFor({ state: 'detached' }),
    absent: async (selector) => { for (const e of await tab.locator(selector).all()) fault(await e.evaluate((x) => x.outerHTML)); },
    shot: look,
  };
  for (step of steps) {
    const [verb, ...rest] = JSON.parse(step);
    try {
      await verbs[verb](...rest);
    } catch (error) {
      fault(`${String(error).split('\n')[0]}; the page shows: ${(await tab.locator('main').innerText()).slice(0, 2000)}`);
      break;
    }
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(faults));
