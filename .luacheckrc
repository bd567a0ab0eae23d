std = "lua54"
max_line_length = 120
exclude_files = { "build*", "examples/data", "spec/fixtures" }
files["spec"] = { std = "lua54+busted" }
files["rocks"] = { std = "rockspec" }
files["spec/hostile"] = { globals = { "io" } }
