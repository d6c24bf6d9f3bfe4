
// How a token looks: line breaks, bytes of broken characters and control characters stay visible.

const tokenText = (() => {
  const kBytes = "bytes:";
  const hex = (code) => "\\x" + code.toString(16).padStart(2, "0");

  /** As it stands in a text: a line break shows its sign and breaks the line. */
  const inText = (token) => token.startsWith(kBytes) ? token.slice(kBytes.length)
    : token.replace(/\n/g, "\u21b5\n").replace(/\t/g, "\u21e5\t")
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (sign) => hex(sign.charCodeAt(0)));

  /** On one line by itself: spaces show too. */
  const alone = (token) => inText(token).replace(/\n|\t/g, "").replace(/ /g, "\u2423") || "\u2205";

  const isBroken = (token) => token.startsWith(kBytes);

  return { alone, inText, isBroken };
})();
