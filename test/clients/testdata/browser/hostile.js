// Opens pages that show hostile messages in Chromium, and prints as JSON what became of it:
// node hostile.js CHROMIUM BASE PATH...
//   faults    what a script did, tabs and dialogs that opened, pages that went elsewhere
//   elsewhere what was asked for of other servers, also if it was refused
//   frames    the text of each frame in the pages, and how many images it shows
import { chromium } from 'playwright-core';

const [executablePath, base, ...paths] = process.argv.slice(2);
const faults = [], elsewhere = [], frames = [];
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  const context = await browser.newContext();
  const tab = await context.newPage();
  tab.setDefaultTimeout(60_000);
  let path;
  tab.on('dialog', (dialog) => { faults.push(`${path}: dialog ${dialog.message()}`); dialog.dismiss(); });
  tab.on('popup', () => faults.push(`${path}: a tab was opened`));
  tab.on('download', () => faults.push(`${path}: a download began`));
  tab.on('console', (message) => { if (message.text().startsWith('ran')) faults.push(`${path}: ${message.text()}`); });
  tab.on('requestfinished', (request) => { if (!request.url().startsWith(base) && !request.url().startsWith('data:')) elsewhere.push(request.url()); });
  for (path of paths) {
    await tab.goto(base + path, { waitUntil: 'networkidle' });
    await tab.waitForTimeout(1500); // for what waits, such as a refresh
    if (tab.url() !== base + path) faults.push(`${path}: the page went to ${tab.url()}`);
    if (await tab.evaluate(() => 'ran' in window)) faults.push(`${path}: a script ran`);
    for (const frame of tab.frames().slice(1)) {
      if (!frame.url().startsWith(base)) faults.push(`${path}: a frame went to ${frame.url()}`);
      const text = await frame.locator('body').textContent();
      const images = await frame.evaluate(() => [...document.images].filter((i) => i.complete && i.naturalWidth > 0).length);
      frames.push({ path, text, images });
    }
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ faults, elsewhere, frames }));
