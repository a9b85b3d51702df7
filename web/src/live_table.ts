// Tables that live: cells are made once, and then only their text changes.
import {element} from "./dom.ts";

// A table whose rows are named; rows that are no longer named leave.
export class LiveTable {
  private readonly body = element("tbody");
  private readonly rows = new Map<string, {row: HTMLTableRowElement; cells: HTMLElement[]}>();
  private readonly columns: readonly string[];

  constructor(table: HTMLElement, caption: string, columns: readonly string[]) {
    this.columns = columns;
    const head = element("tr");
    for (const column of columns) {
      const cell = element("th", "", column);
      cell.scope = "col";
      head.append(cell);
    }
    table.replaceChildren(element("caption", "hidden", caption), element("thead", "", head), this.body);
  }

  get visible(): boolean {
    return this.body.offsetParent !== null;
  }

  // The cells of the row, its name first.
  row(key: string): HTMLElement[] {
    let found = this.rows.get(key);
    if (!found) {
      const row = element("tr");
      const cells = this.columns.map((column, index) => {
        const cell = element(index === 0 ? "th" : "td", index === 0 ? "" : "number");
        if (index === 0) cell.setAttribute("scope", "row");
        cell.dataset["label"] = column;
        row.append(cell);
        return cell;
      });
      found = {row, cells};
      this.rows.set(key, found);
      this.body.append(row);
    }
    return found.cells;
  }

  keepOnly(keys: readonly string[]): void {
    for (const [key, {row}] of this.rows) {
      if (keys.includes(key)) continue;
      row.remove();
      this.rows.delete(key);
    }
  }
}
