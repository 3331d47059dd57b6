// Draws the plots of a page with uPlot: each element .plot has its data in data-plot (see Plot in
// look.go) and is drawn in its .canvas. New data of a live part is drawn without a flicker.
'use strict';

(() => {
  const plots = new Map(); // element -> { plot, data }

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const seconds = (value) => {
    if (value === 0) return '0 s';
    for (const [size, unit] of [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']]) {
      if (value >= size) return `${+(value / size).toPrecision(2)} ${unit}`;
    }
    return `${+(value * 1000).toPrecision(2)} ms`;
  };
  const count = (value) => (Number.isInteger(value) ? value.toLocaleString('en') : '');

  const time = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false });

  const columns = (data) => [data.x, ...data.y.map((row) => row.values)];

  const options = (element, data) => {
    const write = data.unit === 'seconds' ? seconds : count;
    const axis = { stroke: style('--muted'), grid: { stroke: style('--line'), width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' };
    return {
      width: element.clientWidth,
      height: 180,
      padding: [12, 8, 0, 0],
      cursor: { drag: { setScale: false }, points: { size: 7 } },
      scales: { y: { range: (u, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, space: 70, incrs: [60, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200], values: (u, splits) => splits.map(time) },
        { ...axis, size: 62, space: 36, values: (u, splits) => splits.map(write) },
      ],
      series: [
        { label: 'until', value: (u, at) => (at == null ? '' : time(at)) },
        ...data.y.map((row) => ({
          label: row.name,
          stroke: style(`--plot-${row.colour}`),
          fill: data.bars ? style(`--plot-${row.colour}`) + '66' : undefined,
          width: data.bars ? 1 : 2,
          paths: data.bars ? uPlot.paths.bars({ size: [0.8, 24] }) : undefined,
          points: data.bars ? { show: false } : { size: 4 },
          value: (u, value) => (value == null ? '' : write(value)),
        })),
      ],
    };
  };

  const draw = (element) => {
    const canvas = element.querySelector('.canvas');
    const text = element.dataset.plot;
    let drawn = plots.get(element);
    if (drawn && drawn.text === text) return;
    const data = JSON.parse(text);
    // What cannot change in a plot makes another one.
    const shape = JSON.stringify([data.unit, data.bars, data.y.map((row) => row.name)]);
    if (drawn && drawn.shape === shape) {
      drawn.text = text;
      drawn.plot.setData(columns(data));
      return;
    }
    drawn?.plot.destroy();
    plots.set(element, { text, shape, plot: new uPlot(options(canvas, data), columns(data), canvas) });
  };

  const drawAll = () => {
    for (const [element, { plot }] of plots) {
      if (!element.isConnected) { plot.destroy(); plots.delete(element); }
    }
    document.querySelectorAll('.plot').forEach(draw);
  };

  const again = () => {
    for (const { plot } of plots.values()) plot.destroy();
    plots.clear();
    drawAll();
  };

  document.addEventListener('htmx:after:swap', drawAll);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again);
  new ResizeObserver(() => {
    for (const [element, { plot }] of plots) {
      const width = element.querySelector('.canvas').clientWidth;
      if (width !== plot.width) plot.setSize({ width, height: plot.height });
    }
  }).observe(document.querySelector('main'));
  drawAll();
})();
