// Opens a page in Chromium and waits until an element has a text, without opening it again:
// node live.js [--cookie=NAME=VALUE] CHROMIUM URL SELECTOR TEXT
// Prints "loaded" when it has seen the page, and "seen" at the end.
import { chromium } from 'playwright-core';
import { args, signIn } from './session.js';

const [executablePath, url, selector, text] = args;
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  const context = await browser.newContext();
  await signIn(context, url);
  const tab = await context.newPage();
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
