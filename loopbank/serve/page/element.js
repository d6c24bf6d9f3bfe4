
"use strict";

/** An element with properties (`data` sets data-*, `attributes` the rest) and children; null children
    are left out. Every text enters as text, never as markup. */
function element(name, properties, ...children) {
  const made = document.createElement(name);
  const { data, attributes, ...rest } = properties;
  Object.assign(made, rest);
  Object.assign(made.dataset, data);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}
