// Opens a page in Chromium and waits until an element has a text, without opening it again:
// node live.js CHROMIUM URL SELECTOR TEXT
// Prints "loaded" when it has seen the page, and "seen" at the end.
import { chromium } from 'playwright-core';

const [executablePath, url, selector, text] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  const tab = await browser.newPage();
  tab.setDefaultTimeout(300_000);
  let loads = 0;
  tab.on('load', () => { loads++; });
  await tab.goto(url);
  console.log('loaded');
  await tab.waitForFunction(([selector, text]) => document.querySelector(selector)?.textContent.includes(text), [selector, text]);
  if (loads !== 1) throw new Error(`the page was loaded ${loads} times`);
  console.log('seen');
} finally {
  await browser.close();
}
