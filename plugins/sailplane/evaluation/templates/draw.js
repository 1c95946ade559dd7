const figures = JSON.parse(document.getElementById("figures").textContent);
if (typeof Plotly === "undefined") {
  for (const place of Object.keys(figures)) {
    document.getElementById(place).textContent = "This copy lacks the chart library. Open the report in the UI.";
  }
  throw new Error("plotly.js is missing");
}
for (const [place, figure] of Object.entries(figures)) {
  Plotly.newPlot(place, figure.data, figure.layout, {displaylogo: false, responsive: true});
}
