"use strict";
// What the page tells as it changes (server-sent events). A line that breaks is taken up again by the browser; one that was
// refused, say while the settings are being edited and are wrong for a moment, by this.
const AGAIN = 5000;

// A browser keeps six lines to one server: a tab that nobody looks at must not hold one, or the seventh would stand still.
function listen(url, told, lost) {
  let events = null;
  let timer = 0;
  const close = () => {
    clearTimeout(timer);
    events?.close();
    events = null;
  };
  const open = () => {
    close();
    events = new EventSource(url);
    events.onmessage = (event) => told(JSON.parse(event.data));
    events.onerror = () => {
      lost();
      if (events.readyState === EventSource.CLOSED) timer = setTimeout(open, AGAIN);
    };
  };
  if (!document.hidden) open();
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
}
