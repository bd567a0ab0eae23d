--- The version of espquant: the only place it is written (CMakeLists.txt reads it from here).
return "0.1"
