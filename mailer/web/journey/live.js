"use strict";
// What the page tells as it changes (server-sent events). A line that breaks is taken up again by the browser; one that was
// refused, say while the settings are being edited and are wrong for a moment, by this.
const AGAIN = 5000;

function listen(url, told, lost) {
  let events = null;
  const open = () => {
    events = new EventSource(url);
    events.onmessage = (event) => told(JSON.parse(event.data));
    events.onerror = () => {
      lost();
      if (events.readyState === EventSource.CLOSED) setTimeout(open, AGAIN);
    };
  };
  open();
  addEventListener("pagehide", () => events.close());
}
