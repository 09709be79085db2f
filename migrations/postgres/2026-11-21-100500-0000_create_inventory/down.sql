DROP TABLE group_members;
DROP TABLE inventory_objects;
