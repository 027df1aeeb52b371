package deploy

// What tests of this package need of its insides.
var ProbeGRPC = probeGRPC
