/** What the views share of the document. Whatever comes from outside gets into it as text. */

export function element<Kind extends Element = HTMLElement>(selector: string, within: ParentNode = document): Kind {
  const found = within.querySelector<Kind>(selector);
  if (found === null) throw new Error(`the page has no ${selector}`);
  return found;
}

/** Texts of the elements with these `data-field`s. */
export function fill(within: ParentNode, texts: Readonly<Record<string, string>>): void {
  for (const [field, text] of Object.entries(texts)) setText(element(`[data-field="${field}"]`, within), text);
}

/** Leaves alone what is right already: a selection in it, and the browser's layout. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** A copy of the only element in the template. */
export function fromTemplate(id: string): HTMLElement {
  const { content } = element<HTMLTemplateElement>(`template#${id}`);
  return document.importNode(content, true).firstElementChild as HTMLElement;
}

export interface Entry {
  /** No two in a list have the same. */
  readonly key: string;
  /** Id of the template that it is made from. */
  readonly template: string;
  update(row: HTMLElement): void;
}

/** The children of an element, one for each entry and in the order of the entries. */
export class List {
  readonly #parent: HTMLElement;
  #rows = new Map<string, HTMLElement>();

  constructor(parent: HTMLElement) {
    this.#parent = parent;
  }

  update(entries: readonly Entry[]): void {
    const rows = new Map<string, HTMLElement>();
    let place = this.#parent.firstElementChild;
    for (const { key, template, update } of entries) {
      const row = this.#rows.get(key) ?? fromTemplate(template);
      rows.set(key, row);
      if (row === place) place = place.nextElementSibling;
      else this.#parent.insertBefore(row, place);
      update(row);
    }
    for (const [key, row] of this.#rows) if (!rows.has(key)) row.remove();
    this.#rows = rows;
  }
}

/** Inner lists of rows, found again by the element that holds them. */
const lists = new WeakMap<HTMLElement, List>();

export function listIn(parent: HTMLElement): List {
  const known = lists.get(parent) ?? new List(parent);
  lists.set(parent, known);
  return known;
}
