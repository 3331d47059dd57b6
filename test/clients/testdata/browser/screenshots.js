// Takes screenshots of pages, on a phone and on a wide screen, light and dark:
// node screenshots.js CHROMIUM FOLDER BASE PATH...
import { chromium } from 'playwright-core';
import { args, signIn } from './session.js';

const [executablePath, folder, base, ...paths] = args;
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  for (const colorScheme of ['light', 'dark']) {
    for (const [name, viewport, deviceScaleFactor] of [['phone', { width: 360, height: 740 }, 2], ['wide', { width: 1280, height: 800 }, 1]]) {
      const context = await browser.newContext({ colorScheme, viewport, deviceScaleFactor });
      await signIn(context, base);
      const tab = await context.newPage();
      tab.setDefaultTimeout(60_000);
      for (const path of paths) {
        await tab.goto(base + path, { waitUntil: 'networkidle' });
        const page = path.replace(/^\/console\//, '').replace(/\W+/g, '-') || 'overview';
        await tab.screenshot({ path: `${folder}/${page}-${name}-${colorScheme}.png`, fullPage: true });
      }
      await context.close();
    }
  }
} finally {
  await browser.close();
}
