/** The page at /: what the server says is kept in the model, and shown by the views. */
import { type Connection, Stream } from "./connection.js";
import { element, fill, setText } from "./elements.js";
import { Model } from "./model.js";
import { showMoment, showPerformance } from "./performance.js";
import { HeadView, PathsView, SessionsView, ShardsView, UnitsView } from "./views.js";

const model = new Model();
const show = () => {
  showMoment(model);
  for (const view of views) view.show(model);
};
const views = [new HeadView(), new PathsView(), new UnitsView(show), new SessionsView(show), new ShardsView()];

const NOTICES: Readonly<Record<Connection, string>> = {
  live: "",
  paused: "",
  unreachable: "The server does not answer.",
  crowded: "The server answers, but gives no stream of data: too many people may be looking at this page.",
};

/** When the server was last heard of. */
let heardAt: Date | undefined;

function showConnection(connection: Connection): void {
  const isLive = connection === "live";
  document.body.dataset.connection = isLive ? "live" : "lost";
  const isReady = model.state?.ready !== false;
  element("#connection").classList.toggle("unready", !isReady);
  fill(element("#connection"), {
    text: isLive ? (isReady ? "Live" : "Not ready") : connection === "paused" ? "Paused" : "Connection lost",
  });
  document.title = `${isLive ? "" : "Connection lost · "}${location.hostname} · Ringlun`;
  const notice = element("#notice");
  notice.hidden = NOTICES[connection] === "";
  const since = heardAt === undefined ? "" : ` What is shown is from ${heardAt.toLocaleTimeString()}.`;
  setText(notice, `${NOTICES[connection]} Trying again.${since}`);
}

let version: string | undefined;

new Stream({
  onConnection(connection) {
    if (connection === "live") heardAt = new Date();
    showConnection(connection);
  },
  onState(state) {
    // Another version of the server has another version of this page.
    version ??= state.version;
    if (version !== state.version) location.reload();
    model.stateCame(state);
    showConnection("live");
    show();
  },
  onStatistics(statistics) {
    model.statisticsCame(statistics, performance.now());
    if (document.hidden) return;
    showPerformance(model);
    show();
  },
});
