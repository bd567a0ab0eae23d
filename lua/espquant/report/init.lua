--- The report: what several configurations make of a model, as facts and as a page to look at.
---
---     local facts = report.collect(model, data, { name = "mnist", configs = { { bits = "int8" } } })
---     assert(core.write_file("report.html", report.page(facts)))

return {
  collect = require "espquant.report.collect",
  page = require "espquant.report.page",
}
