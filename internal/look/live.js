// What htmx does not do for the live parts of a page, which are those with hx-trigger="every ...":
// they rest while nobody looks, and when the program does not answer, the page says since when.
'use strict';

(() => {
  let seen = new Date();
  let notice;

  const answers = (does) => {
    if (does) {
      seen = new Date();
      notice?.remove();
      notice = undefined;
    } else if (!notice) {
      notice = document.createElement('p');
      notice.className = 'notice bad';
      notice.setAttribute('role', 'alert');
      notice.textContent = `graphrelay does not answer. What you see was so at ${seen.toLocaleTimeString()}; this page goes on by itself once there are answers again.`;
      document.querySelector('main').prepend(notice);
    }
  };

  // A box with data-all ticks all boxes of its form with that name.
  document.addEventListener('change', ({ target }) => {
    if (!target.dataset?.all) return;
    for (const box of target.form.querySelectorAll(`input[name="${target.dataset.all}"]`)) box.checked = target.checked;
  });

  document.addEventListener('htmx:before:request', (event) => {
    if (document.hidden) event.preventDefault();
  });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    for (const part of document.querySelectorAll('[hx-trigger^="every"]')) htmx.trigger(part, 'every');
  });

  document.addEventListener('htmx:after:request', (event) => {
    const { status, redirected } = event.detail.ctx.response?.raw ?? {};
    // The sign-in has ended: the page itself leads to the next.
    if (status === 401 || status === 403 || redirected) location.reload();
    else answers(status === 200);
  });
  document.addEventListener('htmx:error', () => answers(false));
})();
