// Colours of the terminal in light and dark; the nonce for the style elements that xterm.js makes.
const nonce = document.querySelector("meta[name=csp-nonce]")?.nonce;
const create = document.createElement.bind(document);
document.createElement = (name, ...said) => {
  const element = create(name, ...said);
  if (nonce && name === "style") element.nonce = nonce;
  return element;
};

const LIGHT = {
  background: "#ffffff", foreground: "#1d273b", cursor: "#1d273b", cursorAccent: "#ffffff", selectionBackground: "#b9d4f5",
  black: "#1d273b", red: "#b4232a", green: "#1f7a33", yellow: "#8a5b00", blue: "#0b57b0", magenta: "#8a2da5", cyan: "#0b6f7c", white: "#6c7a91",
  brightBlack: "#56627a", brightRed: "#d63939", brightGreen: "#2b8a3e", brightYellow: "#a86a00", brightBlue: "#206bc4", brightMagenta: "#ae3ec9", brightCyan: "#0c8599", brightWhite: "#1d273b",
};
const DARK = {
  background: "#0f172a", foreground: "#e2e8f0", cursor: "#e2e8f0", cursorAccent: "#0f172a", selectionBackground: "#31518a",
  black: "#334155", red: "#f87171", green: "#4ade80", yellow: "#facc15", blue: "#60a5fa", magenta: "#d8a1f5", cyan: "#22d3ee", white: "#cbd5e1",
  brightBlack: "#7b8ba3", brightRed: "#fca5a5", brightGreen: "#86efac", brightYellow: "#fde047", brightBlue: "#93c5fd", brightMagenta: "#e9d5ff", brightCyan: "#67e8f9", brightWhite: "#f8fafc",
};

export const palette = () => (document.documentElement.getAttribute("data-bs-theme") === "dark" ? DARK : LIGHT);
