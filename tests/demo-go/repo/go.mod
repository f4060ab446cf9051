module example.org/villagehall

go 1.19
