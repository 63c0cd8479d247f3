using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.SelfTest.Oracles;

/// <summary>Joining, cutting, embedding.</summary>
internal static class SelectionOracles
{
    public static Tensor Concat(Axis axis, params Tensor[] parts)
    {
        var result = new Tensor(parts[0].Shape.With((int)axis, parts.Sum(part => part.Shape[(int)axis])), parts[0].Element);
        int start = 0;
        foreach (Tensor part in parts)
        {
            Place(part, result, axis, start);
            start += part.Shape[(int)axis];
        }

        return result;
    }

    public static Tensor Slice(Tensor a, Axis axis, int start, int length)
    {
        var result = new Tensor(a.Shape.With((int)axis, length), a.Element);
        for (int n = 0; n < result.N; n++)
        {
            for (int c = 0; c < result.C; c++)
            {
                for (int y = 0; y < a.H; y++)
                {
                    for (int x = 0; x < a.W; x++)
                    {
                        result[n, c, y, x] = axis == Axis.Batch ? a[n + start, c, y, x] : a[n, c + start, y, x];
                    }
                }
            }
        }

        return result;
    }

    public static Tensor Embed(Tensor a, Axis axis, int start, int total)
    {
        var result = new Tensor(a.Shape.With((int)axis, total), a.Element);
        Place(a, result, axis, start);
        return result;
    }

    private static void Place(Tensor part, Tensor whole, Axis axis, int start)
    {
        for (int n = 0; n < part.N; n++)
        {
            for (int c = 0; c < part.C; c++)
            {
                for (int y = 0; y < part.H; y++)
                {
                    for (int x = 0; x < part.W; x++)
                    {
                        whole[axis == Axis.Batch ? n + start : n, axis == Axis.Channel ? c + start : c, y, x] = part[n, c, y, x];
                    }
                }
            }
        }
    }
}
