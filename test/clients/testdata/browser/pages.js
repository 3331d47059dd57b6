// Opens pages in Chromium in both themes, on a phone and on a wide screen, and prints as a JSON
// list what is wrong with them: node pages.js [--cookie=NAME=VALUE] CHROMIUM BASE PATH...
// Wrong are script errors, what the page's policy forbids, pages wider than the screen, and what
// axe finds.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { args, signIn } from './session.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const [executablePath, base, ...paths] = args;
const faults = [];
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [360, 1280]) {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 800 } });
      await signIn(context, base);
      const tab = await context.newPage();
      tab.setDefaultTimeout(60_000);
      let path;
      const fault = (text) => faults.push(`${path}, ${colorScheme}, ${width} px: ${text}`);
      tab.on('console', (message) => { if (['error', 'warning'].includes(message.type())) fault(message.text()); });
      tab.on('pageerror', (error) => fault(String(error)));
      for (path of paths) {
        const answer = await tab.goto(base + path, { waitUntil: 'networkidle' });
        if (answer.status() !== 200) fault(`status ${answer.status()}`);
        const wider = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wider > 0) fault(`is ${wider} px wider than the screen`);
        // evaluate is not subject to the page's policy.
        await tab.evaluate(axe);
        const found = await tab.evaluate(() => axe.run({ resultTypes: ['violations'], iframes: false }));
        for (const v of found.violations) fault(`${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 200)).join(' | ')}`);
      }
      await context.close();
    }
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(faults));
