// The page's only ways to make and change elements.  Text goes in as text, never as markup, so that nothing in a
// message or a name can become an element.

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K, className = "", ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  made.append(...children);
  return made;
}

export function byId<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page lacks #${id}`);
  return found as T;
}

// Writing the same text again would cost a layout and could disturb a selection.
export function setText(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function setData(node: HTMLElement, name: string, value: string): void {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

export function setHidden(node: HTMLElement, hidden: boolean): void {
  if (node.hidden !== hidden) node.hidden = hidden;
}

// A pill shows a state by colour and by word.
export function setPill(id: string, state: string, text: string): void {
  const pill = byId(id);
  setData(pill, "state", state);
  setText(pill.querySelector<HTMLElement>(".text") as HTMLElement, text);
}

// At most `limit` characters (code points), the rest as an ellipsis: a name of a megabyte costs no layout.
export function clip(text: string, limit: number): string {
  if (text.length <= limit) return text;
  return Array.from(text.slice(0, limit * 2)).slice(0, limit).join("") + "…";
}
