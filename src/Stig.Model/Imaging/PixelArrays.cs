namespace Stig.Model.Imaging;

/// <summary>Arrays for pixels that are used again: fresh memory of that size costs the system a fault every few kilobytes. For several
/// threads.</summary>
/// <param name="maxBytes">Bytes that may lie idle; arrays beyond that are left to the collector.</param>
internal sealed class PixelArrays(long maxBytes)
{
    private readonly Dictionary<int, Stack<byte[]>> idle = [];
    private long bytes;

    /// <summary>An array of exactly that length, of any content.</summary>
    public byte[] Take(int length)
    {
        lock (idle)
        {
            if (idle.TryGetValue(length, out Stack<byte[]>? arrays) && arrays.TryPop(out byte[]? array))
            {
                bytes -= length;
                return array;
            }
        }

        return GC.AllocateUninitializedArray<byte>(length);
    }

    /// <summary>Takes an array back that nobody uses any more.</summary>
    public void Return(byte[] array)
    {
        if (array.Length > maxBytes)
        {
            return;
        }

        lock (idle)
        {
            if (!idle.TryGetValue(array.Length, out Stack<byte[]>? arrays))
            {
                idle.Add(array.Length, arrays = new Stack<byte[]>());
            }

            if (bytes + array.Length > maxBytes)
            {
                if (arrays.Count > 0)
                {
                    return;
                }

                // Full of other lengths, which may never be asked for again.
                idle.Clear();
                idle.Add(array.Length, arrays);
                bytes = 0;
            }

            arrays.Push(array);
            bytes += array.Length;
        }
    }
}
