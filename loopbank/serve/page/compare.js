
// Where the texts of two columns part.

const compare = (() => {
  const kMostCells = 4e6;

  /** The places of each list that a longest common subsequence leaves out. */
  function leftOut(a, b) {
    const width = b.length + 1;
    const lengths = new Uint16Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; --i) {
      for (let j = b.length - 1; j >= 0; --j) {
        lengths[i * width + j] = a[i] === b[j] ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
      }
    }
    const [left, right] = [[], []];
    let [i, j] = [0, 0];
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) [i, j] = [i + 1, j + 1];
      else if (j === b.length || (i < a.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) left.push(i++);
      else right.push(j++);
    }
    return [left, right];
  }

  /** Where each of the two lists differs: `first`, the same in both, -1 where one begins the other;
      `left` and `right`, places from there on. */
  function differences(a, b) {
    const shorter = Math.min(a.length, b.length);
    let first = 0;
    while (first < shorter && a[first] === b[first]) ++first;
    if (first === shorter) return { first: -1, left: [], right: [] };
    const [restA, restB] = [a.slice(first), b.slice(first)];
    const all = (list) => list.map((unused, i) => i);
    const [left, right] = restA.length * restB.length > kMostCells ? [all(restA), all(restB)] : leftOut(restA, restB);
    return { first, left: left.map((place) => place + first), right: right.map((place) => place + first) };
  }

  /** Marks both views; the sentence that says where they part. */
  function mark(views, done) {
    const lists = views.map((view) => view.tokens().filter((token) => !token.prompt));
    const skipped = views.map((view, i) => view.tokens().length - lists[i].length);
    const [a, b] = lists.map((list) => list.map((token) => token.text));
    const found = differences(a, b);
    const first = found.first;
    views.forEach((view, i) => view.markDifferences(first < 0 ? -1 : first + skipped[i],
      new Set((i === 0 ? found.left : found.right).map((place) => place + skipped[i]))));
    if (first >= 0) return "The texts part at token " + (first + 1) + ".";
    if (!done || a.length + b.length === 0) return "";
    return a.length === b.length ? "Both texts are the same." : "One text begins the other.";
  }

  return { differences, mark };
})();
