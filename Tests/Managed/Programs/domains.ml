(* OCaml 5: domains, effects, exceptions, collection, threads. *)
open Effect
open Effect.Deep
type _ Effect.t += Ask : int -> int Effect.t
type tree = Leaf | Node of tree * int * tree
let rec make d = if d = 0 then Leaf else Node (make (d - 1), d, make (d - 1))
let rec count = function Leaf -> 0 | Node (l, _, r) -> 1 + count l + count r
let check b what = if not b then (print_endline ("wrong: " ^ what); exit 1)
let () =
  let counter = Atomic.make 0 in
  let work () = for _ = 1 to 5 do check (count (make 13) = 8191) "tree"; Atomic.incr counter done; 1 in
  let domains = List.init 4 (fun _ -> Domain.spawn work) in
  check (List.fold_left (fun a d -> a + Domain.join d) 0 domains = 4 && Atomic.get counter = 20) "domains";
  let r = match_with (fun () -> let s = ref 0 in for i = 1 to 2000 do s := !s + perform (Ask i) done; !s) ()
    { retc = Fun.id; exnc = raise; effc = fun (type a) (e : a Effect.t) -> match e with
      | Ask n -> Some (fun (k : (a, _) continuation) -> continue k (n * 2)) | _ -> None } in
  check (r = 4002000) "effects";
  let caught = ref 0 in
  for i = 0 to 999 do (try ignore (Sys.opaque_identity [| 1; 2 |]).(i + 2) with Invalid_argument _ -> incr caught) done;
  check (!caught = 1000) "exceptions";
  let rec deep n = if n = 0 then 0 else 1 + deep (n - 1) in
  check (deep 200000 = 200000) "depth";
  let h = Hashtbl.create 16 in
  for i = 0 to 50000 do Hashtbl.replace h (i mod 1000) (string_of_int i) done;
  check (Hashtbl.length h = 1000) "table";
  Gc.compact ();
  check (Printf.sprintf "%.6f" (List.fold_left (fun a i -> a +. sqrt (float i)) 0. (List.init 1000 Fun.id)) = "21065.833111") "floats";
  print_endline "ok"
