const figures = JSON.parse(document.getElementById("figures").textContent);
if (typeof Plotly === "undefined") {
  for (const id of Object.keys(figures)) {
    document.getElementById(id).textContent = "This copy lacks the chart library. Open the report in the UI.";
  }
  throw new Error("plotly.js is missing");
}
for (const [id, figure] of Object.entries(figures)) {
  Plotly.newPlot(id, figure.data, figure.layout, {displaylogo: false, responsive: true});
}
