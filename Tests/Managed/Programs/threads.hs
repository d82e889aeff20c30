-- GHC: its own code generator, light threads on several cores, transactions, collection, exceptions, arbitrary integers.
import Control.Concurrent
import Control.Concurrent.STM hiding (check)
import Control.Exception
import Control.Monad
import Data.IORef
import qualified Data.Map.Strict as Map
import System.Exit
import System.Mem

primes :: [Int]
primes = sieve [2 ..] where sieve (p : xs) = p : sieve [x | x <- xs, x `mod` p /= 0]
                            sieve [] = []

check :: Bool -> String -> IO ()
check ok what = unless ok (putStrLn ("wrong: " ++ what) >> exitFailure)

main :: IO ()
main = do
  check (primes !! 500 == 3581) "primes"
  total <- newTVarIO (0 :: Int)
  dones <- forM [1 .. 50 :: Int] $ \i -> do
    done <- newEmptyMVar
    _ <- forkIO (forM_ [1 .. 100] (\_ -> atomically (modifyTVar' total (+ i))) >> putMVar done ())
    pure done
  mapM_ takeMVar dones
  readTVarIO total >>= \t -> check (t == 127500) "transactions"
  let m = foldl (\acc i -> Map.insertWith (+) (i `mod` 977) i acc) Map.empty [1 .. 100000 :: Int]
  check (Map.foldl' (+) 0 m == 5000050000) "map"
  check (length (show (product [1 .. 500 :: Integer])) == 1135) "factorial"
  hits <- newIORef (0 :: Int)
  forM_ [1 .. 500 :: Int] $ \i -> (evaluate (i `div` 0) >> pure ()) `catch` \e -> case e of
    DivideByZero -> modifyIORef' hits (+ 1)
    _ -> pure ()
  readIORef hits >>= \h -> check (h == 500) "exceptions"
  slow <- forkIO (forever (evaluate (length (takeWhile (< 2000) primes)) >> yield))
  threadDelay 20000
  killThread slow
  performGC
  putStrLn "ok"
