// What the System module knows: the last answers of the program about itself.
import {finite, isObject, readFigures, readSources, readStages, type FigureGroup, type SourceState, type Stage} from "./schema.ts";

export class SystemModel {
  sources: SourceState[] = [];
  sourcesAtMs = 0; // arrival, by the browser's clock
  stages: Stage[] = [];
  groups: FigureGroup[] = [];
  version = "";
  ready: boolean | undefined;
  problem = ""; // why it is not ready
  uptimeSeconds: number | undefined;
  statusAtMs = 0;

  setStatus(body: unknown, nowMs: number): void {
    if (!isObject(body)) return;
    this.stages = readStages(body);
    this.groups = readFigures(body);
    if (typeof body["version"] === "string") this.version = body["version"];
    this.ready = typeof body["ready"] === "boolean" ? body["ready"] : undefined;
    this.problem = typeof body["problem"] === "string" ? body["problem"] : "";
    this.uptimeSeconds = finite(body["uptime_seconds"]);
    this.statusAtMs = nowMs;
    if (Array.isArray(body["sources"])) this.setSources(body, nowMs);
  }

  setSources(body: unknown, nowMs: number): void {
    this.sources = readSources(body);
    this.sourcesAtMs = nowMs;
  }
}
