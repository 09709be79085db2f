DROP TABLE throttle_pauses;
DROP TABLE throttle_slices;
DROP TABLE throttle_holders;
