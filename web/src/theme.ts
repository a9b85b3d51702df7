// Dark or light: the system's wish until the button says otherwise.
import {byId} from "./dom.ts";

export type Theme = "dark" | "light";
const stored = "dataflow-theme";
const systemDark = matchMedia("(prefers-color-scheme: dark)");

function chosen(): Theme | undefined {
  try {
    const value = localStorage.getItem(stored);
    return value === "dark" || value === "light" ? value : undefined;
  } catch {
    return undefined; // storage is switched off
  }
}

export function currentTheme(): Theme {
  return chosen() ?? (systemDark.matches ? "dark" : "light");
}

export function startTheme(changed: () => void): void {
  const button = byId<HTMLButtonElement>("theme");
  const apply = (): void => {
    const theme = currentTheme();
    document.documentElement.dataset["theme"] = theme;
    button.setAttribute("aria-label", `Switch to ${theme === "dark" ? "light" : "dark"} colours`);
    changed();
  };
  button.addEventListener("click", () => {
    try {
      localStorage.setItem(stored, currentTheme() === "dark" ? "light" : "dark");
    } catch {
      return;
    }
    apply();
  });
  systemDark.addEventListener("change", apply);
  apply();
}

export function cssColor(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
