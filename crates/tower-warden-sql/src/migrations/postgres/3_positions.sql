-- The position of the id of the key that was minted last. Minting locks the row until the key can be read, so that the order
-- of ids is the order in which keys can be read.
CREATE TABLE tower_warden_latest_key (position BIGINT NOT NULL);

INSERT INTO tower_warden_latest_key (position) VALUES (0);
